"""deploy/Dockerfile: what it copies is there, is not ignored, and is all that a program needs."""

import re

from devstack.folder import CHECKOUT
from devstack.services import EVERY


def test_the_image_holds_every_program_and_the_same_uv_as_the_local_environment():
    dockerfile = (CHECKOUT / "deploy" / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.MULTILINE))
    services = {f"{service}_service" for service in EVERY}
    assert copied == {"schemas", "waybill", "outbox_relay", "devstack", *services}
    uv = re.search(r'^UV = "(.+)"$', (CHECKOUT / "devstack" / "environment.py").read_text(), re.MULTILINE)
    assert uv is not None
    assert f"uv=={uv[1]}" in dockerfile


def test_what_the_dockerfile_copies_is_not_ignored():
    dockerfile = (CHECKOUT / "deploy" / "Dockerfile").read_text()
    kept = set(re.findall(r"^!(\S+)$", (CHECKOUT / "deploy" / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE):
        for source in line.split()[:-1]:
            assert source.partition("/")[0] in kept
            assert (CHECKOUT / source).exists()


def test_the_image_runs_as_a_user_that_kubernetes_can_tell_from_root():
    dockerfile = (CHECKOUT / "deploy" / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["10001"] * 3
    assert "useradd --system --uid 10001 " in dockerfile
