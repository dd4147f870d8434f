"""docs/api.md leads through an order as it says, line by line."""

import os
import re
import shutil
import subprocess
import uuid

import pytest

from devstack.folder import CHECKOUT

PAGE = CHECKOUT / "docs" / "api.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "end of the block"


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_every_line_of_the_tour_does_what_the_page_says(shop):
    steps: list[tuple[str, str]] = []
    for language, text in BLOCK.findall(PAGE.read_text()):
        if language == "sh":
            steps.append(
                ("".join(line for line in text.splitlines(keepends=True) if not line.startswith("export ")), "")
            )
        else:
            steps[-1] = (steps[-1][0], text.strip())
    script = "".join(f"{commands}echo '{END}'\n" for commands, _ in steps)
    address = {"ORDERS": str(shop.stack.urls["order"]), "TOKEN": shop.stack.token(f"reader-{uuid.uuid4().hex[:8]}")}
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        env={**os.environ, **address, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    said = [text.strip() for text in done.stdout.split(END)]
    assert said == [*(expected for _, expected in steps), ""]
