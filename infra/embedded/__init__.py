"""A real PostgreSQL and a real Redis of the program's own, in DATA_DIR, where no URL names others.

`servers()` is the way in. Nothing here touches a permission outside DATA_DIR.
"""

from infra.embedded.errors import ServersUnavailable
from infra.embedded.servers import Addresses, servers

__all__ = ["Addresses", "ServersUnavailable", "servers"]
