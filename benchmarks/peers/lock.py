"""`python -m benchmarks.peers.lock`: resolve Debezium's and Kafka Connect's files anew, for maintainers."""

import tempfile
from pathlib import Path
from typing import Final

from jgo.maven import MavenContext

from devstack.cache.artifacts import lock_text, mirror, resolved

DEBEZIUM: Final = "io.debezium:debezium-connector-postgres:3.3.2.Final"
# Connect's dependency list leaves its logging library to whoever packs it.
WITH: Final = ("org.apache.kafka:connect-runtime:4.1.2", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3")
LOCK: Final = Path(__file__).with_name("artifacts.toml")


def main() -> None:
    """Write the lock."""
    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), **mirror())
        found = {}
        # Of what both bring, Connect's is the newer one; Debezium itself comes first and names the folder.
        for coordinates in (*WITH, DEBEZIUM):
            for artifact in resolved(context, coordinates):
                found.setdefault((artifact.groupId, artifact.artifactId, artifact.classifier), artifact)
        own = [artifact for (group, _, _), artifact in found.items() if group == "io.debezium"]
        others = [artifact for (group, _, _), artifact in found.items() if group != "io.debezium"]
        about = "The files of Debezium on Kafka Connect. Made by `python -m benchmarks.peers.lock`: do not edit."
        LOCK.write_text(lock_text(about, {"debezium": [*own, *others]}))


if __name__ == "__main__":
    main()
