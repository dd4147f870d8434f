"""A producer of records that confluent-kafka's own refuses: header names of any bytes, by librdkafka's C functions."""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import confluent_kafka

LIBRARIES: Final = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
PRODUCER: Final = 0
END, TOPIC, VALUE, KEY, FLAGS, HEADERS = (ctypes.c_int(number) for number in (0, 1, 4, 5, 7, 10))  # rd_kafka_vtype_t
COPY: Final = ctypes.c_int(2)
REASON_BYTES: Final = 512


def produce(bootstrap: str, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Write one record and wait for its acknowledgement, for 10 s at most."""
    (path,) = LIBRARIES.glob("librdkafka*.so*")
    library = ctypes.CDLL(str(path))
    pointer = ctypes.c_void_p
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, name).restype = pointer
    reason = ctypes.create_string_buffer(REASON_BYTES)
    settings = pointer(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(settings, b"bootstrap.servers", bootstrap.encode(), reason, ctypes.c_size_t(REASON_BYTES))
    client = pointer(library.rd_kafka_new(PRODUCER, settings, reason, ctypes.c_size_t(REASON_BYTES)))
    given = pointer(library.rd_kafka_headers_new(ctypes.c_size_t(len(headers))))
    for name, content in headers:
        library.rd_kafka_header_add(given, name, ctypes.c_ssize_t(len(name)), content, ctypes.c_ssize_t(len(content)))
    sized = [(VALUE, value, ctypes.c_size_t(len(value))), (KEY, key, ctypes.c_size_t(len(key)))]
    parts = [one for part in sized for one in part]
    refused = library.rd_kafka_producev(client, TOPIC, topic.encode(), FLAGS, COPY, *parts, HEADERS, given, END)
    assert refused == 0, f"librdkafka's error {refused}"
    assert library.rd_kafka_flush(client, 10_000) == 0
    library.rd_kafka_destroy(client)
