"""`python -m airflow_provider_dialogtech …`"""

from airflow_provider_dialogtech.cli import main

if __name__ == "__main__":
    main()
