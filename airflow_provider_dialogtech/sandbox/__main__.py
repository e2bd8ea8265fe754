"""`python -m airflow_provider_dialogtech.sandbox`: a local DialogTech, for trying things out and for tests."""

from __future__ import annotations

import argparse
import socket
import sys

import uvicorn

from airflow_provider_dialogtech.sandbox.app import ArrivalProtocol, Sandbox
from airflow_provider_dialogtech.sandbox.limits import Account, Limits
from airflow_provider_dialogtech.sandbox.process import ACCESS_KEY, NUMBERS, SECRET_ACCESS_KEY
from airflow_provider_dialogtech.sandbox.vendor import Vendor

HOST = "127.0.0.1"


def main() -> None:
    arguments = _parser().parse_args()
    limits = Limits(arguments.account_per_second, arguments.number_per_second, arguments.number_per_minute)
    accounts = [Account(key, secret, numbers, limits) for key, secret, numbers in arguments.account or []] or [
        Account(arguments.access_key, arguments.secret_access_key, _numbers(arguments.numbers), limits)
    ]
    listening = _listen(arguments.port)
    sys.stdout.write(f"listening on http://{HOST}:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        Sandbox(Vendor(accounts), arguments.latency).app(),
        http=ArrivalProtocol,
        # Its access log would print the keys, which stand in the query; its error log, resets that were asked for.
        access_log=False,
        log_level="critical",
        # Requests that hang on demand must not keep it from stopping.
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_dialogtech.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8025, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--access-key", default=ACCESS_KEY)
    parser.add_argument("--secret-access-key", default=SECRET_ACCESS_KEY)
    parser.add_argument("--numbers", default=",".join(NUMBERS), help="SMS-enabled numbers, separated by commas")
    parser.add_argument(
        "--account", action="append", type=_account, metavar="KEY:SECRET:NUMBER,…", help="for each of several accounts"
    )
    parser.add_argument("--latency", type=float, default=0.0, help="how many seconds every answer takes")
    parser.add_argument("--account-per-second", type=int, default=4)
    parser.add_argument("--number-per-second", type=int, default=1)
    parser.add_argument("--number-per-minute", type=int, default=40)
    return parser


def _account(text: str) -> tuple[str, str, tuple[str, ...]]:
    key, found, rest = text.partition(":")
    secret, found_too, numbers = rest.rpartition(":")
    if not (found and found_too):
        raise argparse.ArgumentTypeError("write KEY:SECRET:NUMBER,NUMBER")
    return key, secret, _numbers(numbers)


def _numbers(text: str) -> tuple[str, ...]:
    return tuple(number.strip() for number in text.split(",") if number.strip())


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        sys.exit(f"The sandbox cannot listen on port {port}: {error.strerror}. Choose another with --port.")
    listening.listen(1024)
    return listening


if __name__ == "__main__":
    main()
