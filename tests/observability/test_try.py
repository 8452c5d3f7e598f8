import sys; sys.path[:0]=["tests"]
from datetime import *
from driving import *
import builders as B

from posting_kit import build
from tillwire.observability.sampler import Sampler
from tillwire import bootstrap
from tillwire.config import Erp
from tillwire.clock import now
def test_it(connection, database_url):
    settings = settings_for(database_url, erp=Erp(kind="fake"))
    s = Sampler(connection, settings, bootstrap.erps(settings))
    t = now()
    assert s.sample(t) == []
    load(database_url, *B.masters(), *[B.sale(sequence=n) for n in range(1,5)])
    for x in s.sample(t+timedelta(seconds=70)): print(x)
    for r in rows(connection, "select figure,part,quantile,value from figure_now"): print(r)
    from tillwire.observability.now import figure_levels
    s.sample(now()+timedelta(hours=3))
    s.sample(now()+timedelta(hours=30))
    print(rows(connection,"select grain,count(*) from figure_history group by 1"))
    assert 0
