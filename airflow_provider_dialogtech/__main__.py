"""`python -m airflow_provider_dialogtech …`"""

import airflow_provider_dialogtech._child  # noqa: F401 - before Airflow
from airflow_provider_dialogtech.cli import main

if __name__ == "__main__":
    main()
