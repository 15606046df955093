"""Make the user that Dagster signs in as, the first time that a control task starts; afterwards nothing.

It runs as the task's first container. Whether the user is there it finds out by signing in as Dagster does, because
the admin, who made it, may be shut out from then on: PostgreSQL 16 makes whoever creates a role its member, and RDS
takes members of rds_iam by token alone. Nothing of Dagster's tables is known here.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

import boto3
import psycopg2

DATABASE = USER = "dagster"
SECONDS = 10

STATEMENTS = (
    f"CREATE USER {USER}",
    f"GRANT rds_iam TO {USER}",
    f"GRANT ALL ON DATABASE {DATABASE} TO {USER}",
    f"GRANT ALL ON SCHEMA public TO {USER}",
)


def main(environment: Mapping[str, str] = os.environ) -> int:
    host = environment["CS_FEATURES_DATABASE_HOST"]
    token = boto3.client("rds").generate_db_auth_token(DBHostname=host, Port=5432, DBUsername=USER)
    try:
        connect(host, USER, token).close()
    except psycopg2.OperationalError:
        create_user(connect(host, environment["ADMIN_USER"], environment["ADMIN_PASSWORD"]))
        print(f"Created the database user {USER}.")
    return 0


def connect(host: str, user: str, password: str) -> Any:
    return psycopg2.connect(
        host=host, dbname=DATABASE, user=user, password=password, sslmode="require", connect_timeout=SECONDS
    )


def create_user(admin: Any) -> None:
    """All of it or nothing."""
    with admin, admin.cursor() as cursor:
        for statement in STATEMENTS:
            cursor.execute(statement)
    admin.close()


if __name__ == "__main__":
    sys.exit(main())
