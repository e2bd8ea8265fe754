"""What Airflow learns about this provider, without importing anything of it that is heavy."""

from __future__ import annotations

from typing import Any

from airflow_provider_dialogtech import __version__
from airflow_provider_dialogtech.settings import config, fields

_INTEGRATION = "DialogTech SMS"
_DOCUMENTATION = "https://github.com/airflow-provider-dialogtech/airflow-provider-dialogtech#readme"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as Airflow's `provider_info.schema.json` has it."""
    return {
        "package-name": "airflow-provider-dialogtech",
        "name": _INTEGRATION,
        "description": "Texts people through the DialogTech SMS API.",
        "versions": [__version__],
        "integrations": [{"integration-name": _INTEGRATION, "external-doc-url": _DOCUMENTATION}],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "airflow_provider_dialogtech.operators.sms",
                    "airflow_provider_dialogtech.operators.bulk",
                ],
            }
        ],
        "hooks": [
            {"integration-name": _INTEGRATION, "python-modules": ["airflow_provider_dialogtech.hooks.dialogtech"]}
        ],
        "extra-links": ["airflow_provider_dialogtech.operators.base.MessagesLink"],
        "notifications": ["airflow_provider_dialogtech.notifications.sms.DialogTechSmsNotifier"],
        "connection-types": [
            {
                "connection-type": "dialogtech",
                "hook-class-name": "airflow_provider_dialogtech.hooks.dialogtech.DialogTechHook",
                "hook-name": _INTEGRATION,
                "conn-fields": fields.declared_fields(),
                "ui-field-behaviour": fields.declared_behaviour(),
            }
        ],
        "config": {config.SECTION: {"description": "Texts through the DialogTech SMS API.", "options": config.OPTIONS}},
        "task-decorators": [
            {
                "class-name": "airflow_provider_dialogtech.decorators.sms.dialogtech_sms_task",
                "name": "dialogtech_sms",
            }
        ],
        "cli": ["airflow_provider_dialogtech.cli.get_dialogtech_cli_commands"],
    }
