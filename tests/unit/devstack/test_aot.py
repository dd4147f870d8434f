"""A training run that fails costs time and nothing else."""

from devstack.cache import aot, artifacts


def test_a_failed_training_run_leaves_nothing_and_lets_the_stack_start(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = artifacts.cache() / "kafka-that-is-not-there"
    aot.train({"kafka": home})
    assert "the training run failed" in capsys.readouterr().err
    assert aot.options(home) == ()
    assert [path.name for path in artifacts.cache().iterdir()] == [".lock"]
