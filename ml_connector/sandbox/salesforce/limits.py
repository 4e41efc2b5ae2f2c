"""The org's allocations, and how much of them is used."""

from datetime import datetime, timedelta
from typing import Any

from ml_connector.sandbox.salesforce.faults import SalesforceFault
from ml_connector.sandbox.salesforce.org import SalesforceOrg

_DAY = timedelta(days=1)


class Limits:
    """Counts API calls in a rolling day, by the hour."""

    def __init__(self, org: SalesforceOrg) -> None:
        self._org = org

    @property
    def _hours(self) -> dict[datetime, int]:
        found: dict[datetime, int] = self._org.services.setdefault("api_usage", {})
        return found

    def count(self) -> None:
        """Counts a call; refuses it when the day's allocation is used up."""
        hours, hour = self._hours, self._this_hour()
        if self.used >= int(self._org.switch("daily_api_requests")):
            raise SalesforceFault(
                "REQUEST_LIMIT_EXCEEDED", "TotalRequests: the day's calls are used"
            )
        hours[hour] += 1

    def use(self, calls: int) -> None:
        """Counts calls that somebody else made."""
        self._hours[self._this_hour()] += calls

    def _this_hour(self) -> datetime:
        now = self._org.now()
        hour = now.replace(minute=0, second=0)
        hours = self._hours
        if hour not in hours:
            for old in [found for found in hours if not now - _DAY < found <= now]:
                del hours[old]
            hours[hour] = 0
        return hour

    @property
    def used(self) -> int:
        """Calls of the last day."""
        return sum(self._hours.values())

    @property
    def usage(self) -> str:
        """Usage as every answer tells it."""
        return f"api-usage={self.used}/{self._org.switch('daily_api_requests')}"

    def listing(self) -> dict[str, Any]:
        """The limits resource."""
        most = int(self._org.switch("daily_api_requests"))
        events = int(self._org.switch("delivered_events_per_day"))
        delivered = int(self._org.services.get("delivered_events", 0))
        delivered += int(self._org.services.get("deliveries_to_others", 0))
        fixed = {
            "DailyBulkApiBatches": 15_000,
            "DailyBulkV2QueryFileStorageMB": 976_562,
            "DailyBulkV2QueryJobs": 10_000,
            "DailyAsyncApexExecutions": 250_000,
            "DataStorageMB": 10_240,
            "FileStorageMB": 10_240,
            "HourlyPublishedPlatformEvents": 250_000,
            "MonthlyPlatformEventsUsageEntitlement": 1_000_000,
        }
        return {
            "DailyApiRequests": {"Max": most, "Remaining": max(0, most - self.used)},
            "DailyDeliveredPlatformEvents": {"Max": events, "Remaining": events - delivered},
            **{name: {"Max": value, "Remaining": value} for name, value in fixed.items()},
        }
