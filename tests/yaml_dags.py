"""DAGs in YAML files, which came with Airflow 3.4."""

from pathlib import Path
from typing import Any

import pytest


def dags_of(text: str, folder: Path) -> dict[str, Any]:
    """Return the DAGs of a YAML file, as Airflow's dag-processor gets them.

    :param text: the file's text.
    :param folder: an empty folder.
    """
    base = pytest.importorskip("airflow.sdk.importers.base", reason="YAML files came with Airflow 3.4")
    from airflow.dag_processing.dagbag import DagBag

    (folder / "dag.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        importers = '["airflow.sdk.importers.yaml_importer.YamlDagImporter"]'
        patch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_IMPORTER_CONFIGS", importers)
        base.reset_importer_registry()
        bag = DagBag(str(folder))
    base.reset_importer_registry()
    assert bag.import_errors == {}
    return dict(bag.dags)
