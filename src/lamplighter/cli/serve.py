"""`lamplighter serve`: answer requests over HTTP."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lamplighter.cli.terminal import printable
from lamplighter.errors import ServiceError

_TOKEN = "LAMPLIGHTER_TOKEN"


def serve(
    bundles: Annotated[
        list[Path],
        typer.Argument(
            metavar="BUNDLE...",
            help="The classifiers: bundles (NAME.lamp), or pretrained networks such as "
            "efficientnet-lite0.",
        ),
    ],
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="The address to listen on. Default: this machine alone; 0.0.0.0 for the network.",
            show_default=False,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", help="The port; 0 for any that is free.")
    ] = 8000,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Processes that share the port and the cores.")
    ] = 1,
    max_batch: Annotated[
        int, typer.Option(metavar="N", help="Most images that a thread computes at a time.")
    ] = 16,
    max_delay: Annotated[
        float,
        typer.Option(metavar="MS", help="Milliseconds that an image waits for others."),
    ] = 0.0,
    max_queue: Annotated[
        int,
        typer.Option(
            metavar="N", help="Most images that wait; what comes then gets 503 and Retry-After."
        ),
    ] = 256,
    deadline: Annotated[
        float, typer.Option(metavar="S", help="Seconds within which a request is answered.")
    ] = 30.0,
    max_body: Annotated[
        float, typer.Option(metavar="MB", help="Largest request, in megabytes.")
    ] = 32.0,
    index: Annotated[
        Path | None,
        typer.Option(metavar="PHOTOS.index", help="An index of images, for /similar."),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            metavar="",
            help="Answer /explain too, which costs the time of some 100 images.",
        ),
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Answer only requests that bring the token in this file, or in {_TOKEN}.",
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let pages of this origin ask; may be given again."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Answer to this name as well, as a proxy gives it; may be repeated.",
        ),
    ] = None,
) -> None:
    """Answer requests over HTTP: images in, classes out.

    The page to try it is at its address, the description of all it answers at /openapi.json. It
    runs until Ctrl-C or SIGTERM, and answers what it accepted before it ends. A bundle that is
    replaced is used from the next request on.
    """
    from lamplighter.serving.server import serve as run
    from lamplighter.serving.settings import MEGABYTE, Settings

    settings = Settings(
        bundles=tuple(bundles),
        host=host,
        port=port,
        workers=workers,
        max_batch=max_batch,
        max_delay=max_delay / 1000,
        max_queue=max_queue,
        deadline=deadline,
        max_body=int(max_body * MEGABYTE),
        index=index,
        explain=explain,
        token=_token(token_file),
        cors=tuple(cors or ()),
        allowed_hosts=tuple(allow_host or ()),
    )

    def tell(address: str) -> None:
        names = ", ".join(printable(str(bundle)) for bundle in bundles)
        typer.echo(f"serving {names} at {address} (Ctrl-C ends it)")
        sys.stdout.flush()
        if not settings.is_local and settings.token is None:
            sys.stderr.write(
                f"lamplighter: whoever reaches {printable(host)} may ask; --token-file FILE asks "
                "for a token.\n"
            )

    run(settings, started=tell)


def _token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get(_TOKEN) or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(
            f"--token-file must be a file that holds a token, received {path} "
            f"({getattr(error, 'strerror', None) or 'no text'})."
        ) from error
