"""A PostgreSQL of Debian's package on a loopback address of its own: what RDS is on AWS, for tests and benchmarks.

It asks for TLS as RDS does and takes any password, so that `deploy/dagster.yaml` runs on it as it is, tokens included.
Not here: what is in the database.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cs_features.local.processes import LocalProblem

ADMIN = "cs_features_admin"
PORT = 5432  # RDS's; deploy/dagster.yaml names no other
_HOSTS = tuple(f"127.0.0.{number}" for number in range(77, 100))
_ACCESS = f"local all all trust\nhostssl all {ADMIN},dagster 127.0.0.0/8 trust\n"
_SETTINGS = """
ssl = on
fsync = off
max_connections = 100
"""


def find_programs() -> Path | None:
    """Where Debian has put the newest server; None where none is, or nobody may start it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found and os.geteuid() == 0 else None


@dataclass(frozen=True)
class Cluster:
    """A running server."""

    programs: Path
    folder: Path
    host: str

    def create_database(self) -> None:
        self.run_statement(f"CREATE DATABASE dagster OWNER {ADMIN}")

    def drop_database(self) -> None:
        """And put out whoever is connected."""
        self.run_statement("DROP DATABASE dagster WITH (FORCE)")

    def run_statement(self, statement: str, database: str = "postgres") -> str:
        """As the server's owner; what it says, without headings."""
        socket_options = ("-h", self.folder, "-p", PORT, "-d", database)
        return self.run("psql", "-qAt", *socket_options, "-c", statement)

    def run(self, program: str, *arguments: object) -> str:
        """One of PostgreSQL's programs, or of the system's."""
        path = self.programs / program
        done = subprocess.run(
            [
                "/usr/sbin/runuser",
                "-u",
                "postgres",
                "--",
                str(path) if path.exists() else program,
                *map(str, arguments),
            ],
            capture_output=program in ("psql", "openssl"),
            stdin=subprocess.DEVNULL,
            cwd="/",
            check=False,
            text=True,
        )
        if done.returncode:
            raise LocalProblem(f"{program} failed: {(done.stderr or 'see its log').strip()[-300:]}")
        return (done.stdout or "").strip()


@contextmanager
def serve_postgres() -> Iterator[Cluster]:
    """An empty database `dagster` and an admin as RDS makes them, while the context is open.

    Raises:
        LocalProblem: no server is installed, or it does not start.
    """
    programs = find_programs()
    if programs is None:
        raise LocalProblem("PostgreSQL is needed, and root to start it: apt-get install postgresql")
    postgres = pwd.getpwnam("postgres")
    folder = Path(tempfile.mkdtemp(prefix="cs-features-", dir=postgres.pw_dir))
    os.chown(folder, postgres.pw_uid, postgres.pw_gid)
    cluster = Cluster(programs, folder, _find_free_host())
    try:
        _start_server(cluster)
        try:
            yield cluster
        finally:
            cluster.run("pg_ctl", "-s", "-D", folder / "data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_server(cluster: Cluster) -> None:
    data = cluster.folder / "data"
    cluster.run("pg_ctl", "-s", "-D", data, "-o", "-A trust -E UTF8 --no-sync", "initdb")
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(_SETTINGS)
    (data / "pg_hba.conf").write_text(_ACCESS)
    # In the folder of the data, where the server looks for them.
    certificate = ("-keyout", data / "server.key", "-out", data / "server.crt", "-days", 30, "-subj", "/CN=localhost")
    cluster.run("openssl", "req", "-new", "-x509", "-nodes", *certificate)
    options = f"-c listen_addresses={cluster.host} -c port={PORT} -c unix_socket_directories={cluster.folder}"
    cluster.run("pg_ctl", "-s", "-D", data, "-l", cluster.folder / "log", "-w", "-o", options, "start")
    cluster.run_statement(f"CREATE ROLE {ADMIN} LOGIN CREATEROLE CREATEDB")
    cluster.run_statement(f"CREATE ROLE rds_iam; GRANT rds_iam TO {ADMIN} WITH ADMIN OPTION")
    cluster.create_database()


def _find_free_host() -> str:
    for host in _HOSTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, PORT))
            except OSError:
                continue
            return host
    raise LocalProblem(f"Port {PORT} is taken on each of {_HOSTS[0]} to {_HOSTS[-1]}")
