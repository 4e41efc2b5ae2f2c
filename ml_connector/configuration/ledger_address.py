"""The ledger's address: which databases are possible and where a relative file lies."""

from __future__ import annotations

from pathlib import Path


def resolved_ledger_url(url: str, folder: Path) -> str:
    """Return a SQLAlchemy address that means the same from every working directory.

    Raises: ValueError with the second half of a sentence; it never repeats the address, which may
    hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError("is no database address")
    if scheme in ("postgresql", "postgres", "postgresql+psycopg2"):
        raise ValueError("names another driver; write postgresql+psycopg://")
    if scheme == "postgresql+psycopg":
        if not rest.strip("/"):
            raise ValueError("names no server and database")
        return url
    if scheme not in ("sqlite", "sqlite+pysqlite"):
        raise ValueError(f'names "{scheme}", which is neither sqlite nor postgresql+psycopg')
    name, mark, query = rest.removeprefix("/").partition("?")
    if not name or name == ":memory:":
        raise ValueError("names a database in memory, which forgets; name a file")
    path = (folder / Path(name).expanduser()).absolute()
    return f"sqlite:///{path}{mark}{query}"
