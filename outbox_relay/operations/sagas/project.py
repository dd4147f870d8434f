"""The saga that the project names, in `[tool.waybill]` or as it tells the library else."""

from waybill.application import ApplicationUnknown, application
from waybill.sagas import saga as sagas
from waybill.sagas.saga import Saga


def of_project() -> Saga | None:
    """Return the saga that the project names. Raises ApplicationUnknown where its file cannot be read."""
    try:
        file = application().saga
    except ApplicationUnknown:
        return None
    if file is None:
        return None
    try:
        return sagas.read(file)
    except (OSError, ValueError) as error:
        raise ApplicationUnknown(f"saga = {str(file)!r}: {error}") from None
