"""What every resource works with: the org, the signed-in user's view, the running transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from ml_connector.sandbox.salesforce.calls import Call
from ml_connector.sandbox.salesforce.faults import not_found
from ml_connector.sandbox.salesforce.org import SalesforceOrg
from ml_connector.sandbox.salesforce.schema import SObject
from ml_connector.sandbox.salesforce.transactions import Transaction


class Workspace:
    """Gives resources objects as the user sees them, and a transaction to write in."""

    def __init__(self, org: SalesforceOrg) -> None:
        self.org = org
        self._shared: Transaction | None = None

    def sobject(self, call: Call, name: str) -> SObject:
        """The object type in an address, else a 404."""
        found = self.org.schema.find(name)
        if found is None or not call.user.access.may_read(found):
            raise not_found(f"There is no object {name}")
        return found

    @contextmanager
    def writing(self, call: Call) -> Iterator[Transaction]:
        """A transaction for one call: committed at the end, undone when the call is refused."""
        if self._shared is not None:
            mark = self._shared.mark()
            try:
                yield self._shared
            except BaseException:
                self._shared.roll_back(mark)
                raise
            return
        transaction = self.org.begin(call.user, call.origin)
        try:
            yield transaction
        except BaseException:
            transaction.roll_back()
            raise
        self.org.commit(transaction)

    @contextmanager
    def together(self, call: Call) -> Iterator[Transaction]:
        """One transaction for several calls; the caller rolls back what must not stay."""
        outer = self._shared
        shared = self.org.begin(call.user, call.origin) if outer is None else outer
        self._shared = shared
        try:
            yield shared
        except BaseException:
            shared.roll_back()
            raise
        finally:
            self._shared = outer
        if outer is None:
            self.org.commit(shared)
