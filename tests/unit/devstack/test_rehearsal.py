"""A rehearsal that fails costs time and nothing else."""

from devstack import download, rehearsal


def test_a_failed_rehearsal_leaves_nothing_and_lets_the_stack_start(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = download.cache() / "kafka-that-is-not-there"
    rehearsal.rehearse({"kafka": home})
    assert "the rehearsal failed" in capsys.readouterr().err
    assert rehearsal.options(home) == ()
    assert [path.name for path in download.cache().iterdir()] == [".lock"]
