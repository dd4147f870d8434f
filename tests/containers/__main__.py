"""`make containers`: build, bring docker-compose.kafka.yml up, confirm orders beside kills, take it down, look round.

The last line is JSON: whether all orders were confirmed, the size of the programs' image in MB, and how much was left
(containers, volumes, networks, processes, mounts).
"""

import json
import sys
import time

from tests.containers import composed, images, stand_ins
from tests.containers.engine import Engine, say, why_not
from tests.containers.scenario import play


def main() -> int:
    """Return the exit code: 0 where all held, or where there is no engine."""
    if reason := why_not():
        say(json.dumps({"confirmed": None, "image_mb": None, "left_running": 0, "skipped": reason}))
        return 0
    if taken := composed.ports_taken():
        say(f"published ports are taken: {'; '.join(taken)}")
        return 1
    engine = Engine.prepared()
    good, image_mb = try_images(engine)
    outcome = play(engine)
    slowest = max(outcome.seconds, key=lambda name: outcome.seconds[name])
    say(f"stopped; the slowest, {slowest}, took {outcome.seconds[slowest]:.1f} s")
    badly = {name: code for name, code in outcome.ended.items() if code}
    for line in (*outcome.left, *(f"{name} ended with {code}" for name, code in badly.items())):
        say(f"left or ended badly: {line}")
    confirmed = {outcome.order, *outcome.beside} == {"CONFIRMED"}
    say(json.dumps({"confirmed": confirmed, "image_mb": image_mb, "left_running": len(outcome.left)}))
    return 0 if good and confirmed and not (outcome.left or badly) else 1


def try_images(engine: Engine) -> tuple[bool, int]:
    """Build the images and look at them; return whether all is well, and the size of the programs' in MB."""
    say(f"hadolint: {images.lint(engine)} Dockerfiles, nothing to say")
    began = time.monotonic()
    stand_ins.make(engine)
    say(f"stand-ins there after {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    images.build(engine)
    sizes = images.sizes(engine)
    say(f"built in {time.monotonic() - began:.0f} s; {sizes.image} MB unpacked, {sizes.base} MB of them the base")
    listed, installed = images.listed(images.bill_of_materials(engine)), images.installed(engine)
    differs = sorted(set(listed.items()) ^ set(installed.items()))
    say(f"bill of materials: {len(listed)} packages; other than installed: {differs or 'none'}")
    code, seconds = images.stopped_while_starting(engine)
    say(f"a program stopped while it starts: exit code {code} after {seconds:.1f} s")
    return not differs and code == images.TERMINATED, sizes.image


if __name__ == "__main__":
    sys.exit(main())
