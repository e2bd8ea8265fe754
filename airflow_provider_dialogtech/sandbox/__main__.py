"""`python -m airflow_provider_dialogtech.sandbox`: a local DialogTech for development and tests."""

from __future__ import annotations

import argparse
import gc
import json
import shlex
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from airflow_provider_dialogtech.sandbox.process import ACCESS_KEY, NUMBERS, SECRET_ACCESS_KEY

try:
    import uvicorn

    from airflow_provider_dialogtech.sandbox.app import ArrivalProtocol, Sandbox
    from airflow_provider_dialogtech.sandbox.vendor import SHAPES, Account, Limits, Vendor
except ModuleNotFoundError as missing:
    sys.exit(f"The sandbox needs {missing.name}. Install it: pip install 'airflow-provider-dialogtech[sandbox]'")

HOST = "127.0.0.1"


def main() -> None:
    """Run the sandbox with the arguments of the command line until Ctrl-C."""
    parser = _parser()
    arguments = parser.parse_args()
    limits = Limits(arguments.account_per_second, arguments.number_per_second, arguments.number_per_minute)
    accounts = [(arguments.access_key, arguments.secret_access_key, arguments.numbers), *arguments.account]
    vendor = Vendor((Account(key, secret, numbers, limits) for key, secret, numbers in accounts), arguments.listing)
    if len(vendor.accounts) < len(accounts):
        parser.error("two accounts have the same access key")
    listening = _listen(arguments.port)
    base_url = f"http://{HOST}:{listening.getsockname()[1]}"
    sys.stdout.write(f"listening on {base_url}\n{_how_to_connect(base_url, *accounts[0])}")
    sys.stdout.flush()
    config = uvicorn.Config(
        Sandbox(vendor, arguments.latency, arguments.allow_host).app(),
        http=ArrivalProtocol,
        # Only this event loop exposes the socket, which a reset needs.
        loop="asyncio",
        # The access log would print the keys in the query, the error log the requested resets.
        access_log=False,
        log_level="critical",
        # Requests that hang on demand must not delay the shutdown.
        timeout_graceful_shutdown=0,
    )
    # Loaded modules are never collected: a collection would delay the arrival times of calls.
    gc.freeze()
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def _how_to_connect(base_url: str, access_key: str, secret_access_key: str, numbers: Sequence[str]) -> str:
    """Return the keys, the numbers and a shell command that sets the connection."""
    connection = {
        "conn_type": "dialogtech",
        "host": f"{base_url}/ibp_api.php",
        "login": access_key,
        "password": secret_access_key,
        "extra": {"from_numbers": ",".join(numbers)},
    }
    return (
        f"access key:        {access_key}\n"
        f"secret access key: {secret_access_key}\n"
        f"numbers:           {', '.join(numbers)}\n"
        "To let Airflow send its messages here:\n"
        f"export AIRFLOW_CONN_DIALOGTECH_DEFAULT={shlex.quote(json.dumps(connection))}\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_dialogtech.sandbox", description=__doc__)
    parser.add_argument("--port", type=_port, default=8025, help="0 for a free port (default: %(default)s)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another accepted host name; may be repeated (always accepted: 127.0.0.1, localhost, ::1)",
    )
    parser.add_argument("--access-key", default=ACCESS_KEY, help="default: %(default)s")
    parser.add_argument("--secret-access-key", default=SECRET_ACCESS_KEY, help="default: %(default)s")
    parser.add_argument(
        "--numbers",
        type=_numbers,
        default=NUMBERS,
        metavar="NUMBER,…",
        help=f"SMS-enabled numbers (default: {','.join(NUMBERS)})",
    )
    parser.add_argument(
        "--account",
        action="append",
        default=[],
        type=_account,
        metavar="KEY:SECRET:NUMBER,…",
        help="another account; may be repeated",
    )
    parser.add_argument(
        "--listing",
        choices=SHAPES,
        default="nested",
        help="the shape in which sms.get_messages lists messages (default: %(default)s)",
    )
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="delay of every answer")
    parser.add_argument("--account-per-second", type=int, default=4, metavar="MESSAGES", help="default: %(default)s")
    parser.add_argument("--number-per-second", type=int, default=1, metavar="MESSAGES", help="default: %(default)s")
    parser.add_argument("--number-per-minute", type=int, default=40, metavar="MESSAGES", help="default: %(default)s")
    return parser


def _port(value: str) -> int:
    port = int(value)
    if not 0 <= port < 1 << 16:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _account(value: str) -> tuple[str, str, tuple[str, ...]]:
    key, _, rest = value.partition(":")
    secret, _, numbers = rest.rpartition(":")
    if not (key and secret):
        raise argparse.ArgumentTypeError("write KEY:SECRET:NUMBER,NUMBER")
    return key, secret, _numbers(numbers)


def _numbers(value: str) -> tuple[str, ...]:
    numbers = tuple(number.strip() for number in value.split(",") if number.strip())
    if not numbers or not all(number.isascii() and number.isdigit() for number in numbers):
        raise argparse.ArgumentTypeError("numbers are digits, separated by commas")
    return numbers


def _listen(port: int) -> socket.socket:
    # asyncio disables Nagle's delay only for a socket whose protocol is given.
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        sys.exit(f"The sandbox cannot listen on port {port}: {error.strerror}. Choose another with --port.")
    listening.listen(1024)
    return listening


if __name__ == "__main__":
    main()
