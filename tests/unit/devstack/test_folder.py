"""A stack's folder is its own: nothing else is touched, and nothing else is taken for it."""

import pytest

from devstack.errors import DevstackError
from devstack.folder import SOCKET_PATH_BYTES, Folder, read_json, write_json


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "letters.txt").touch()
    with pytest.raises(DevstackError, match=r"letters\.txt"):
        Folder(tmp_path).check()


@pytest.mark.parametrize("mark", ["'", '"', ";", ",", "#", "%"])
def test_a_path_that_would_break_a_configuration_is_refused(tmp_path, mark):
    with pytest.raises(DevstackError, match="may not contain"):
        Folder(tmp_path / f"a{mark}b").check()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DevstackError, match="is a file"):
        Folder(tmp_path / "file").check()


def test_the_socket_fits_however_deep_the_folder_lies(tmp_path):
    for folder in (Folder(tmp_path), Folder(tmp_path / ("deep" * 40))):
        assert len(bytes(folder.socket)) <= SOCKET_PATH_BYTES


def test_wiping_removes_the_stack_and_nothing_else(tmp_path):
    folder = Folder(tmp_path)
    folder.prepare()
    write_json(folder.stack_file, {})
    (tmp_path / "letters.txt").touch()
    folder.wipe()
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_a_file_is_replaced_whole(tmp_path):
    file = tmp_path / "state.json"
    write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert read_json(file) == {"a": 1}
    assert list(tmp_path.iterdir()) == [file]
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"])
def test_a_damaged_file_reads_as_empty(tmp_path, text):
    (tmp_path / "stack.json").write_text(text)
    assert read_json(tmp_path / "stack.json") == {}
