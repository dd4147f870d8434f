"""Definitions of kinds that are not Kubernetes' own, from their authors' Go modules."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support import toolchains

# Module, the hash of its archive as a go.sum has it, and the definitions in it that are used here.
KEDA: Final = (
    "github.com/kedacore/keda/v2@v2.18.0",
    "h1:ttR223fii/4QJ0YvtrhcWHaEoezByb/t5CeFopjl6EI=",
    ("config/crd/bases/keda.sh_scaledobjects.yaml",),
)


def definitions() -> Iterator[dict[str, Any]]:
    """Yield every definition. Raises AssertionError where a module is not what it was."""
    compiler = toolchains.found("go")
    assert compiler is not None
    for module, digest, names in (KEDA,):
        done = subprocess.run(
            [compiler, "mod", "download", "-json", module],
            env=os.environ | {"GOFLAGS": "-mod=mod"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{module}: {done.stdout}{done.stderr}"
        told = json.loads(done.stdout)
        assert told["Sum"] == digest, f"{module} is {told['Sum']}"
        for name in names:
            yield yaml.safe_load((Path(told["Dir"]) / name).read_text())
