from airflow_provider_dialogtech.alerts.alert import Alert
from airflow_provider_dialogtech.journal.dedup import Claim


def test_the_repr_of_an_alert_does_not_show_its_body():
    alert = Alert("etl.load", "payroll", True, "", "key", None, resolves="payroll works again")
    assert "payroll" not in repr(alert)
    assert "etl.load" in repr(alert)


def test_the_repr_of_a_claim_does_not_show_its_key():
    assert "key of Alice" not in repr(Claim("id", "key of Alice"))
