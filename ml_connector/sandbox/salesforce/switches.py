"""Settings that choose how the org behaves where orgs differ or the vendor is silent."""

from typing import Any

SWITCHES: dict[str, Any] = {
    # What the org has turned on.
    "multi_currency": True,
    "orders_enabled": True,
    "integration_profile": "standard",  # standard | minimum: only what the permission set names
    "allow_zero_quantity": False,
    "allow_negative_quantity": False,
    "activate_without_items": False,
    # Signing in.
    "session_timeout_seconds": 7200,
    "token_invalid_client_status": 400,  # 400 | 401
    "client_credentials_enabled": True,
    "run_as_user": True,
    "app_approved": True,
    "organization_active": True,
    "user_active": True,
    "user_frozen": False,
    "logins_per_hour": 3600,
    # Limits.
    "daily_api_requests": 5_000_000,
    "delivered_events_per_day": 1_000_000,
    "query_page_size": 2000,
    "child_page_size": 2000,
    "query_cursors_per_user": 10,
    "query_locator_minutes": 15,
    "deploy_polls": 1,
    # Where the references are not certain.
    "edit_activated_refusal": "INSUFFICIENT_ACCESS_OR_READONLY",
    "locked_row_status": 400,  # 400 | 500
    "idle_update_changes_stamp": True,
    "replication_lag_seconds": 0,
    "accept_bare_z": False,
    "answers_request_id": True,  # answers carry X-SFDC-Request-Id
}
