from granian_d.engine.contract import Clock
from granian_d.http.exchange import Exchange
from granian_d.http.handshake import Offer
from granian_d.http.session import Session
from granian_d.plan import Limits

def make_session(exchange: Exchange, offer: Offer, limits: Limits, clock: Clock, /) -> Session: ...
