#!/bin/sh
# Run once by the database's image, when its volume is empty: a database for Prefect and one for the ledger.
set -eu
psql --username postgres --set ON_ERROR_STOP=1 \
  --set prefect_password="$PREFECT_DATABASE_PASSWORD" --set ledger_password="$LEDGER_DATABASE_PASSWORD" <<'SQL'
CREATE USER prefect PASSWORD :'prefect_password';
CREATE DATABASE prefect OWNER prefect;
CREATE USER ledger PASSWORD :'ledger_password';
CREATE DATABASE ledger OWNER ledger;
SQL
