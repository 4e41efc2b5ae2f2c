"""The switches: readings of what the vendor leaves open, and set-up of the company."""

from typing import Any

SWITCHES: dict[str, Any] = {
    # set-up of the company
    "manual_nos_customers": True,
    "manual_nos_contacts": True,
    "manual_nos_items": True,
    "gaps_allowed": False,
    "templates": True,
    "customers_get_contacts": True,
    "external_document_number_mandatory": False,
    "prevent_negative_inventory": False,
    "posting_allowed_from": "",
    "posting_allowed_to": "",
    "posting_setup_missing": False,
    "posting_fails_late": False,
    "phone_letters_refused": True,
    "quantity_resets_price": True,
    "draft_posting_fills_order": True,
    "drafts_close_orders": True,
    # the app
    "app_registered": True,
    "app_roles": ["API.ReadWrite.All"],
    "permission_missing": False,
    "token_lifetime_seconds": 3599,
    # readings of what the documentation leaves open
    "duplicate_key_status": 400,
    "unknown_record_code": "BadRequest_ResourceNotFound",
    "enum_style": "encoded",
    "deep_insert_returns_lines": "with_expand",
    "filter_wildcards": "star",
    "calculated_filter": "error",
    "etag_covers_calculated": False,
    "payment_sign": "any",
    # limits
    "rate_limit": 6000,
    "rate_window_seconds": 300,
    "rate_scale": 1,
    "max_in_flight": 5,
    "max_queued": 95,
    "queue_timeout_seconds": 480,
    "retry_after_on_429": False,
    "retry_after_seconds": 1,
    "batch_counts_inner": True,
    "batch_limit": 100,
    "environment_unavailable": False,
}
