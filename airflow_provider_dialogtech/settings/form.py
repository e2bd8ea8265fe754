"""The connection's form, as each Airflow version wants it."""

# Only Airflow up to 3.1 brings Flask's form libraries along.
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import math
from typing import Any

from airflow_provider_dialogtech.settings.fields import EXTRA_FIELDS, Field

HIDDEN_FIELDS = ["port", "schema"]
RELABELING = {"login": "Access key", "password": "Secret access key", "host": "API URL"}
PLACEHOLDERS = {
    "login": "from the account's Key Manager",
    "host": "empty for https://secure.dialogtech.com/ibp_api.php",
}


def declared_fields() -> dict[str, Any]:
    """Return the fields as Airflow 3.2 and newer read them from the provider's metadata."""
    return {
        field.name: {"label": field.label, "description": field.description, "schema": _schema(field)}
        for field in EXTRA_FIELDS
    }


def declared_behaviour() -> dict[str, Any]:
    """Return the standard fields' labels as Airflow 3.2 and newer read them from the provider's metadata."""
    return {"hidden-fields": HIDDEN_FIELDS, "relabeling": RELABELING, "placeholders": PLACEHOLDERS}


def widgets() -> dict[str, Any]:
    """Return the fields as Airflow up to 3.1 asks a hook for them. Needs WTForms and Flask-AppBuilder."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import IntegerField, StringField
    from wtforms.validators import NumberRange, Optional, any_of

    def validators(field: Field) -> list[Any]:
        found = [Optional()]
        if field.choices:
            found.append(any_of(list(field.choices)))
        if field.minimum is not None:
            found.append(NumberRange(min=math.ceil(field.minimum), max=field.maximum))
        return found

    # Airflow 3.0 and 3.1 know no field for a number that may have a fraction.
    classes = {"string": StringField, "integer": IntegerField, "number": IntegerField}
    return {
        field.name: classes[field.kind](
            field.label,
            validators=validators(field),
            description=field.description,
            default=_default(field),
            widget=BS3TextFieldWidget(),
        )
        for field in EXTRA_FIELDS
    }


def behaviour() -> dict[str, Any]:
    """Return the standard fields' labels as Airflow up to 3.1 asks a hook for them."""
    return {name.replace("-", "_"): value for name, value in declared_behaviour().items()}


def _schema(field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": [field.kind, "null"]}
    if field.choices:
        schema |= {"enum": list(field.choices), "default": _default(field)}
    if field.minimum is not None:
        schema |= {"minimum": field.minimum}
    if field.maximum is not None:
        schema |= {"maxLength" if field.kind == "string" else "maximum": field.maximum}
    return schema


def _default(field: Field) -> str | None:
    return field.choices[0] if field.choices else None
