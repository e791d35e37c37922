"""Who may come in: signatures, recomputed; and how much is done at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from urllib.parse import quote

from voicebridge.testing.simulator.wire import HttpRequest

from .options import WireOptions
from .refusal import Refusal

__all__ = ["Account"]

_STAMP = "%Y%m%dT%H%M%SZ"
_SKEW_S = 300
_LONGEST_S = 300
_ALGORITHM = "AWS4-HMAC-SHA256"


class Account:
    """What is known of the callers, each by its access key id."""

    def __init__(self, options: WireOptions) -> None:
        self._options = options
        self._busy: Counter[str] = Counter()
        self._can_check = find_spec("botocore") is not None

    def check(self, request: HttpRequest, service: str) -> str:
        """Let a caller in: its access key id.

        Raises:
            Refusal: the request is not signed, or not by a key that is known, or not well.
        """
        signed = _Signed.of(request)
        key = signed.scope[0]
        if self._options.keys and key not in self._options.keys:
            message = "The security token included in the request is invalid."
            raise Refusal(403, "UnrecognizedClientException", message)
        if len(signed.scope) != 5 or signed.scope[3] != service or signed.scope[4] != "aws4_request":
            message = f"Credential should be scoped to correct service: '{service}'."
            raise Refusal(403, "InvalidSignatureException", message)
        signed.check_time()
        if self._can_check and signed.signature != _signature(request, signed, self._options.secret):
            message = "The request signature we calculated does not match the signature you provided."
            raise Refusal(403, "InvalidSignatureException", message)
        return key

    @contextmanager
    def work(self, key: str) -> Iterator[None]:
        """Count a request while it is answered.

        Raises:
            Refusal: as many as there may be are being answered.
        """
        self.check_room(key)
        self._busy[key] += 1
        try:
            yield
        finally:
            self._busy[key] -= 1

    def check_room(self, key: str) -> None:
        """See that there is room for one more.

        Raises:
            Refusal: there is none.
        """
        if 0 < self._options.most_at_once <= self._busy[key]:
            raise Refusal(429, "ThrottlingException", "Rate exceeded")


class _Signed:
    """What a request says of its signature."""

    def __init__(self, fields: dict[str, str], date: str, expires_s: float) -> None:
        self.scope = fields.get("Credential", "").split("/")
        self.headers = fields.get("SignedHeaders", "").split(";")
        self.signature = fields.get("Signature", "")
        self.date, self._expires_s = date, expires_s

    @classmethod
    def of(cls, request: HttpRequest) -> _Signed:
        """Read it.

        Raises:
            Refusal: there is none.
        """
        if request.query.get("X-Amz-Algorithm") == _ALGORITHM:
            names = ("Credential", "SignedHeaders", "Signature")
            fields = {name: request.query.get(f"X-Amz-{name}", "") for name in names}
            try:
                expires_s = float(request.query.get("X-Amz-Expires", ""))
            except ValueError:
                expires_s = 0
            if not 0 < expires_s <= _LONGEST_S:
                raise Refusal(400, "BadRequestException", f"X-Amz-Expires lies between 1 and {_LONGEST_S}.")
            return cls(fields, request.query.get("X-Amz-Date", ""), expires_s)
        algorithm, _, rest = request.headers.get("authorization", "").partition(" ")
        if algorithm != _ALGORITHM:
            raise Refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        parts = (part.strip().partition("=") for part in rest.split(","))
        return cls({name: value for name, _, value in parts}, request.headers.get("x-amz-date", ""), _SKEW_S)

    def check_time(self) -> None:
        """See that it holds now.

        Raises:
            Refusal: it is too old, or none.
        """
        try:
            made = datetime.strptime(self.date, _STAMP).replace(tzinfo=UTC)
        except ValueError:
            raise Refusal(403, "InvalidSignatureException", "X-Amz-Date can't be read.") from None
        age = datetime.now(UTC) - made
        if not -timedelta(seconds=_SKEW_S) <= age <= timedelta(seconds=self._expires_s):
            raise Refusal(403, "InvalidSignatureException", f"Signature expired: {self.date}.")


def _signature(request: HttpRequest, signed: _Signed, secret: str) -> str:
    """What it should be."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    key, _, region, service, _ = signed.scope
    pairs = [f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in request.pairs if n != "X-Amz-Signature"]
    remade = AWSRequest(
        method=request.method,
        url=f"http://{request.headers.get('host', '')}{request.path}{'?' if pairs else ''}{'&'.join(pairs)}",
        headers={name: request.headers.get(name, "") for name in signed.headers},
        data=request.body,
    )
    remade.context["timestamp"] = signed.date
    auth = SigV4Auth(Credentials(key, secret), service, region)
    return str(auth.signature(auth.string_to_sign(remade, auth.canonical_request(remade)), remade))
