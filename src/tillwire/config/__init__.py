"""Settings: ``tillwire.toml`` and the environment, as typed structs. All have defaults; unknown names are errors.

The environment overrides the file: ``TILLWIRE_DATABASE_URL``, ``TILLWIRE_NATS_URL``, ``TILLWIRE_HTTP_PORT`` and so on
(section and name in capitals). Secrets belong there, not in the file.
"""

from __future__ import annotations

from tillwire.config.access import Access, Oidc, OidcGroup
from tillwire.config.checks import check, is_loopback
from tillwire.config.loading import load, written
from tillwire.config.posting import (
    DEFAULT_ACCOUNTS,
    ONLY,
    AccountRule,
    Erp,
    ErpInstance,
    ErpPolicy,
    GiftCards,
    Mode,
    Posting,
    StockMode,
    StorePosting,
    erp_policies,
)
from tillwire.config.sections import (
    Clients,
    CodeRule,
    Connection,
    Console,
    Drop,
    Exceptions,
    Http,
    LateArrivals,
    LateStores,
    Relay,
    Rules,
    ServiceLevel,
    Settings,
    Severity,
    SourceRules,
    Work,
)
from tillwire.config.service_levels import (
    DEFAULT_OBJECTIVES,
    AlertRoute,
    Alerts,
    Objective,
    ServiceLevels,
    Smtp,
)

__all__ = [
    "DEFAULT_ACCOUNTS",
    "DEFAULT_OBJECTIVES",
    "ONLY",
    "Access",
    "AccountRule",
    "AlertRoute",
    "Alerts",
    "Clients",
    "CodeRule",
    "Connection",
    "Console",
    "Drop",
    "Erp",
    "ErpInstance",
    "ErpPolicy",
    "Exceptions",
    "GiftCards",
    "Http",
    "LateArrivals",
    "LateStores",
    "Mode",
    "Objective",
    "Oidc",
    "OidcGroup",
    "Posting",
    "Relay",
    "Rules",
    "ServiceLevel",
    "ServiceLevels",
    "Settings",
    "Severity",
    "Smtp",
    "SourceRules",
    "StockMode",
    "StorePosting",
    "Work",
    "check",
    "erp_policies",
    "is_loopback",
    "load",
    "written",
]
