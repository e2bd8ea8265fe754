"""The built wheel, in an environment that holds Airflow and it, and nothing else of this repository."""

import json
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import pytest

from tools.commands import Commands
from tools.processes import plain_environment

ROOT = Path(__file__).resolve().parents[2]
AIRFLOW = version("apache-airflow")
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a folder for an Airflow of its own.

    :param bin: where its programs are.
    :param home: AIRFLOW_HOME, with a new metadata database.
    """

    bin: Path
    home: Path

    def run(self, program: str, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run a program of the environment."""
        variables = self._variables | environment
        if program == "airflow":
            done = self._airflow.run(*arguments, environment=variables)
        else:
            done = subprocess.run(
                [self.bin / program, *arguments],
                cwd=self.home,
                env=variables,
                capture_output=True,
                text=True,
                timeout=180,
                check=False,
            )
        if check and done.returncode:
            raise AssertionError(f"{program} {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        return done

    @cached_property
    def _airflow(self) -> Commands:
        return Commands(self._variables, self.bin / "python")

    @cached_property
    def _variables(self) -> dict[str, str]:
        inherited = {name: value for name, value in plain_environment().items() if name != "PYTHONPATH"}
        return inherited | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of the tests, of no use anywhere else, 64 bytes or more",
        }

    def rows(self, program: str, *arguments: str, **environment: str) -> list[dict[str, str]]:
        """Run a program that prints a table as JSON, after whatever else Airflow prints."""
        printed = self.run(program, *arguments, "--output=json", **environment).stdout
        return json.loads(printed[printed.index("[{") :])


def share_bytecode(environment: Path) -> None:
    """Give an environment the bytecode of ours, where both have a file of a package: to compile it takes seconds."""
    ours, theirs = (Path(sysconfig.get_path("purelib", vars={"base": base})) for base in (sys.prefix, environment))
    for compiled in ours.rglob("__pycache__/*.pyc"):
        target = theirs / compiled.relative_to(ours)
        if target.parent.parent.exists() and not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(compiled, target)


@pytest.fixture(scope="package")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="package")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python"]
    constraints = ROOT / "constraints" / f"airflow-{AIRFLOW}.txt"
    subprocess.run([*install, "-c", constraints, f"apache-airflow=={AIRFLOW}", wheel], check=True)
    share_bytecode(folder / "venv")
    (folder / "home" / "dags").mkdir(parents=True)
    installed = Installed(folder / "venv" / "bin", folder / "home")
    installed.run("airflow", "db", "migrate")
    return installed
