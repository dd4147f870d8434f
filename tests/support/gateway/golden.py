"""Golden files: what the documents come to. `python -m tests.support.gateway.golden` writes them."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from devstack.folder import CHECKOUT
from waybill.gateway.command import files
from waybill.gateway.compiler import Configuration, compiled
from waybill.gateway.documents.document import read
from waybill.gateway.site import Site

FOLDER = CHECKOUT / "tests" / "unit" / "waybill" / "gateway" / "golden"
DOCUMENTS: Mapping[str, Path] = {
    "shop": CHECKOUT / "deploy" / "gateway",
    "every_field": FOLDER / "every_field" / "documents",
}
WATCHED = PurePosixPath("/gateway")


def configuration(case: str) -> Configuration:
    """What a case's documents come to at its site."""
    return compiled(read(DOCUMENTS[case]), Site.load(FOLDER / case / "site.json"), WATCHED)


def golden(case: str) -> dict[Path, str]:
    """The text that each golden file of a case has to have."""
    return {FOLDER / case / PurePosixPath(name).name: text for name, text in files(configuration(case)).items()}


def main() -> None:
    for case in DOCUMENTS:
        for path, text in golden(case).items():
            path.write_text(text)


if __name__ == "__main__":
    main()
