from granian_d.engine.contract import Clock, Service, Wire
from granian_d.engine.native.h2_requests import H2Requests
from granian_d.http.exchange import Observer
from granian_d.http.message import Peer, RequestHead
from granian_d.plan import Limits

class H2Endpoint(H2Requests):
    peer: Peer
    observer: Observer
    def __init__(
        self, wire: Wire, peer: Peer, service: Service, limits: Limits, clock: Clock, /
    ) -> None: ...

def upgraded(
    wire: Wire,
    peer: Peer,
    service: Service,
    limits: Limits,
    clock: Clock,
    head: RequestHead,
    settings: bytes,
    /,
) -> H2Endpoint: ...
