"""The provider's metadata. Airflow reads it often, so this file imports nothing heavy."""

from __future__ import annotations

from typing import Any

from airflow_provider_dialogtech import __version__
from airflow_provider_dialogtech.settings import config, fields

_INTEGRATION = "DialogTech SMS"
_DECORATOR = "airflow_provider_dialogtech.decorators.sms.dialogtech_sms_task"
_DOCUMENTATION = "https://github.com/airflow-provider-dialogtech/airflow-provider-dialogtech#readme"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form of Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "airflow-provider-dialogtech",
        "name": _INTEGRATION,
        "description": "Sends SMS messages through the DialogTech API.",
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
        "config": {
            config.SECTION: {"description": "SMS messages through the DialogTech API.", "options": config.OPTIONS}
        },
        "task-decorators": [{"class-name": _DECORATOR, "name": "dialogtech_sms"}],
        "cli": ["airflow_provider_dialogtech.cli.get_dialogtech_cli_commands"],
        "db-managers": ["airflow_provider_dialogtech.plugins.db_manager.JournalDBManager"],
    }
