"""The settings of how people sign in."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tillwire.config.posting import Positive


class OidcGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the people of one of the provider's groups may do here. As many as there are groups."""

    group: str
    """As the provider tells it in ``groups_claim``."""
    roles: tuple[str, ...]
    stores: tuple[str, ...] = ("*",)
    """Only these stores: numbers, with * and ?."""
    companies: tuple[str, ...] = ("*",)
    """Only stores of these companies, with * and ?."""


class Oidc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signing in by a company's own sign-in (OpenID Connect). Its client's redirect URI is
    ``http.public_url`` + ``/sign-in/oidc/callback``."""

    issuer: str = ""
    """The provider, exactly as it names itself: https://login.example.com/realms/shops. Empty: there is none."""
    title: str = "your company's sign-in"
    """What the button on the sign-in page calls it."""
    client_id: str = ""
    client_secret: str = ""
    """A secret: it belongs into the environment. Empty: a public client, held by PKCE alone."""
    client_secret_file: str = ""
    """A file that holds it instead."""
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = "preferred_username"
    """The claim of the ID token that somebody is named after here, at their first sign-in and from then on."""
    groups_claim: str = "groups"
    """The claim that has their groups; with dots where it is within others: realm_access.roles."""
    groups: tuple[OidcGroup, ...] = ()
    """Roles by group; see below. Who is in none of them needs a role that an administrator has given."""
    second_factor: Literal["told", "provider", "hub"] = "told"
    """Who has a role of ``totp_roles`` needs a second factor. ``told``: the provider's counts if the ID token says that
    there was one (``amr`` has mfa, otp or hwk), else a code is asked for here; ``provider``: it sees to it; ``hub``: a
    code is always asked for here."""
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"], ...] = (
        "RS256",
        "PS256",
        "ES256",
    )
    """How ID tokens may be signed. A token that is signed in any other way is refused, whatever it says."""


class Access(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How people sign in (`tillwire user`)."""

    idle_minutes: Positive = 30
    """Who does nothing for so long is signed out. A page that follows what happens by itself does nothing."""
    session_hours: Positive = 12
    """Everybody is signed out after so long."""
    totp_roles: tuple[str, ...] = ("finance", "approver", "administrator")
    """Roles whose people need an authenticator's code beside their password. Others may have one."""
    plain_http: bool = False
    """Let people of other machines sign in over http, where whoever is on the way reads their passwords."""
    free_failures: Positive = 5
    """So many failures of one person are answered at once; each further one doubles the wait."""
    free_failures_of_address: Positive = 50
    """The same for an address, behind which there may be a whole office; one a minute is forgiven."""
    most_wait_minutes: Annotated[int, Meta(ge=1, le=1440)] = 15
    """The longest wait."""
    oidc: Oidc = Oidc()
