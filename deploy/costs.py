"""What a month on AWS costs, from volumes and rates: `python -m deploy.costs [--interactions 108333] [--runs 127]`.

Every rate says where it is from and when it was looked at. Frankfurt's could not be looked up where this was written:
they are its list prices as last known, held against those of us-east-1 on the pages named. None was seen on a bill.
Each line is a volume times a rate: who has other volumes changes one number. The model's price is the product's own
(`pricing.py`).
"""

import argparse
import sys
from dataclasses import dataclass

from cs_features.extraction.models import capabilities_of
from cs_features.extraction.pricing import TokenUsage, find_price_list

HOURS = 730
REGION = "eu-central-1"


@dataclass(frozen=True)
class Rate:
    """US dollars a unit, with where and when it was read."""

    dollars: float
    unit: str
    source: str
    read: str


KNOWN = "list price of eu-central-1 as last known"
FARGATE = f"{KNOWN}; us-east-1: wring.co/blog/aws-fargate-pricing-guide"
RDS = f"{KNOWN}; us-east-1: infratally.com/articles/aws-rds-pricing-explained-2026.html"
READ = "2026-11-27"
RATES = {
    "vcpu": Rate(0.04656, "vCPU-hour of Fargate, Linux x86", FARGATE, READ),
    "memory": Rate(0.00511, "GB-hour of Fargate, Linux x86", FARGATE, READ),
    "database": Rate(0.019, "hour of db.t4g.micro, PostgreSQL, one zone", RDS, READ),
    "database storage": Rate(0.137, "GB-month of gp3 for RDS", RDS, READ),
    "address": Rate(0.005, "hour of a public IPv4 address", KNOWN, READ),
    "put": Rate(0.0054 / 1_000, "PUT, COPY or LIST of S3 Standard", KNOWN, READ),
    "get": Rate(0.00043 / 1_000, "GET of S3 Standard", KNOWN, READ),
    "storage": Rate(0.0245, "GB-month of S3 Standard", KNOWN, READ),
    "logs": Rate(0.63, "GB into CloudWatch Logs", KNOWN, READ),
    "alarm": Rate(0.10, "alarm a month", KNOWN, READ),
    "metric": Rate(0.30, "custom metric a month", KNOWN, READ),
    "secret": Rate(0.40, "secret a month", KNOWN, READ),
    "encryption key": Rate(1.0, "customer managed KMS key a month", KNOWN, READ),
    "image": Rate(0.10, "GB-month in ECR", KNOWN, READ),
    # Not verified: on-demand write and read units of the online store, as published for us-east-1.
    "record written": Rate(
        1.25 / 1_000_000, "write unit of Feature Store, on demand", "us-east-1 as last known, not verified", READ
    ),
    "record read": Rate(
        0.25 / 1_000_000, "read unit of Feature Store, on demand", "us-east-1 as last known, not verified", READ
    ),
}


@dataclass(frozen=True)
class Volumes:
    """What the bill follows from. Defaults: 1.3 million interactions a year, five countries, files through the day."""

    interactions: int = 1_300_000 // 12
    runs_a_day: int = 127
    minutes_a_run: float = 2.0
    control_vcpu: float = 0.5
    control_gb: float = 3.0
    run_vcpu: float = 1.0
    run_gb: float = 2.0
    model_id: str = "eu.anthropic.claude-haiku-5-5"
    # Of an interaction: the prompt read from the cache, its own text, the answer (docs/money.md).
    cached_tokens: int = 3_500
    text_tokens: int = 250
    answer_tokens: int = 110
    # A tick lists each country's window every 30 s; a run makes some tens of requests.
    listings: int = 7 * 2 * 60 * 24 * 30
    requests_a_run: int = 60
    # A day's contacts, and those that leave a window; a record of 1.2 kB is two write units.
    customers_written: int = 15_600 * 30
    stored_gb: float = 20.0
    logged_gb: float = 2.0
    images_gb: float = 10 * 0.35

    @property
    def run_hours(self) -> float:
        return self.runs_a_day * 30.4 * self.minutes_a_run / 60


@dataclass(frozen=True)
class Line:
    """One line of the bill."""

    what: str
    dollars: float


def price_month(volumes: Volumes) -> list[Line]:
    """The bill, the largest line first."""
    lines = [
        Line(
            "control task (webserver, daemon, code server)", price_task(HOURS, volumes.control_vcpu, volumes.control_gb)
        ),
        Line("runs", price_task(volumes.run_hours, volumes.run_vcpu, volumes.run_gb)),
        Line("database, 20 GB", HOURS * rate("database") + 20 * rate("database storage")),
        Line("public addresses", (HOURS + volumes.run_hours) * rate("address")),
        Line("model, list price", volumes.interactions * price_interaction(volumes)),
        Line("S3 requests", price_requests(volumes)),
        Line("S3 storage", volumes.stored_gb * rate("storage")),
        Line("feature store", volumes.interactions * (2 * rate("record written") + rate("record read"))),
        Line("feature store, customers", volumes.customers_written * 2 * rate("record written")),
        Line("logs, alarms, metrics", volumes.logged_gb * rate("logs") + 6 * rate("alarm") + 2 * rate("metric")),
        Line(
            "secrets, key and images",
            2 * rate("secret") + rate("encryption key") + volumes.images_gb * rate("image"),
        ),
    ]
    return sorted(lines, key=lambda line: -line.dollars)


def price_task(hours: float, vcpu: float, gigabytes: float) -> float:
    return hours * (vcpu * rate("vcpu") + gigabytes * rate("memory"))


def price_interaction(volumes: Volumes) -> float:
    usage = TokenUsage(volumes.text_tokens, volumes.cached_tokens, 0, volumes.answer_tokens)
    return find_price_list(capabilities_of(volumes.model_id))(usage)


def price_requests(volumes: Volumes) -> float:
    of_runs = volumes.runs_a_day * 30.4 * volumes.requests_a_run
    return volumes.listings * rate("put") + of_runs * (rate("put") + rate("get"))


def rate(name: str) -> float:
    return RATES[name].dollars


def format_bill(volumes: Volumes) -> str:
    """A Markdown table of the bill, and one of the rates behind it."""
    lines = price_month(volumes)
    bill = [f"| {line.what} | {line.dollars:.2f} |" for line in lines]
    rates = [f"| {each.dollars:.7f} | {each.unit} | {each.source} | {each.read} |" for each in RATES.values()]
    total = sum(line.dollars for line in lines)
    return "\n".join(
        [
            f"| a month in {REGION} | US dollars |",
            "| --- | ---: |",
            *bill,
            f"| **together** | **{total:.2f}** |",
            "",
            "| US dollars | a | source | read |",
            "| ---: | --- | --- | --- |",
            *rates,
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.costs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--interactions", type=int, default=Volumes.interactions, help="a month")
    parser.add_argument("--runs", type=int, default=Volumes.runs_a_day, help="a day")
    options = parser.parse_args(arguments)
    print(format_bill(Volumes(interactions=options.interactions, runs_a_day=options.runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
