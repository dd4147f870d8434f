"""What a program shows at /metrics."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int, host: str = "127.0.0.1") -> Series:
    """Name and labels → value, of every series."""
    return parse(scraped_text(f"http://{host}:{port}"))


def scraped_text(url: str) -> str:
    """The answer as it came."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        return answer.read().decode()


def parse(text: str) -> Series:
    """Name and labels → value, of every series."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
