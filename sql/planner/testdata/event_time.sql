-- Windows: both spellings, offsets, sessions.
create materialized view m as select * from session(ev partition by k, ts, interval '30 minutes')
create materialized view m as select k, window_start, window_end, count(*) from table(session(table ev partition by (k), descriptor(ts), interval '30' minute)) group by k, window_start, window_end
create materialized view m as select k, window_start, count(*) from session(ev partition by k, ts, interval '30 minutes') group by k, window_start
create materialized view m as select window_start, count(*) from session(ev partition by k, ts, interval '30 minutes') group by window_start
create materialized view m as select window_start, window_end, count(*) from session(ev, ts, interval '30 minutes') group by 1, 2
create materialized view m as select k, j, count(*) from table(session(data => table ev partition by k, j, timecol => descriptor(ts), gap => interval '5' minutes)) group by k, j, window_end
create materialized view m as select k, count(*) from session((select k, ts from ev where v > 0) partition by k, ts, interval '1 hour') s where k > 5 and window_end - window_start > interval '1 minute' group by k, window_start, window_end
create materialized view m as select k, window_start, count(*) from hop(et, ts, interval '1 minute', interval '5 minutes', interval '30 seconds') group by k, window_start
create materialized view m as select window_start, window_end, sum(v) from table(cumulate(table ev, descriptor(ts), interval '2' minutes, interval '10' minutes, interval '1' second)) group by window_start, window_end
create materialized view m as select window_start, sum(v) from cumulate(ev, ts, interval '2 minutes', interval '10 minutes') group by window_start
select k, window_start, count(*) from session(ev partition by k, ts, interval '30 minutes') group by k, window_start

-- The end of a window is a key beside its start or its time.
create materialized view m as select distinct k, window_start from tumble(ev, ts, interval '1 minute')
create materialized view m as select window_time, count(distinct k) from tumble(ev, ts, interval '1 minute') group by window_time
create materialized view m as select window_start, max(n) from (select k, window_start, count(*) as n from tumble(ev, ts, interval '1 minute') group by k, window_start) group by window_start
create materialized view m as select k, window_start, n from (select *, row_number() over (partition by window_start order by n desc) as rn from (select k, window_start, count(*) as n from tumble(ev, ts, interval '1 minute') group by k, window_start)) where rn <= 3
create materialized view m as select * from (select *, row_number() over (partition by window_start, window_end, k order by ts desc) as rn from tumble(ev, ts, interval '1 minute')) where rn = 1
create materialized view m as select distinct on (window_start) window_start, k, v from tumble(ev, ts, interval '1 minute') order by window_start, v desc
create materialized view m as select k, window_start, count(*), grouping(k) from tumble(ev, ts, interval '1 minute') group by grouping sets ((window_start), (window_start, k))

-- Window joins.
create materialized view m as select a.k, a.window_start, a.n, b.n from (select k, window_start, window_end, count(*) as n from tumble(ev, ts, interval '1 minute') group by k, window_start, window_end) a join (select auction, window_start, window_end, count(*) as n from tumble(bid, date_time, interval '1 minute') group by auction, window_start, window_end) b on a.k = b.auction and a.window_start = b.window_start and a.window_end = b.window_end
create materialized view m as select a.id, b.auction, a.window_end from tumble(auction, date_time, interval '1 minute') a join tumble(bid, date_time, interval '1 minute') b on a.id = b.auction and a.window_start = b.window_start and a.window_end = b.window_end
create materialized view m as select a.id, b.auction, b.window_end from tumble(auction, date_time, interval '1 minute') a right join tumble(bid, date_time, interval '1 minute') b on a.id = b.auction and a.window_start = b.window_start and a.window_end = b.window_end
create materialized view m as select a.id, b.auction, b.window_start from tumble(auction, date_time, interval '1 minute') a join tumble(bid, date_time, interval '1 minute') b on a.id = b.auction and a.window_start = b.window_start

create materialized view m as select coalesce(a.window_start, b.window_start) as s, coalesce(a.window_end, b.window_end) as e, a.n, b.n as m from (select k, window_start, window_end, count(*) as n from tumble(ev, ts, interval '1 minute') group by k, window_start, window_end) a full join (select k, window_start, window_end, count(*) as n from tumble(et, ts, interval '1 minute') group by k, window_start, window_end) b on a.k = b.k and a.window_start = b.window_start and a.window_end = b.window_end emit on window close
create materialized view m as select coalesce(a.window_start, b.window_start) as s, a.window_end as e, a.n, b.n as m from (select k, window_start, window_end, count(*) as n from tumble(ev, ts, interval '1 minute') group by k, window_start, window_end) a full join (select k, window_start, window_end, count(*) as n from tumble(et, ts, interval '1 minute') group by k, window_start, window_end) b on a.k = b.k and a.window_start = b.window_start and a.window_end = b.window_end emit on window close
create materialized view m as select k, window_end, a.n, b.n as m from (select k, window_end, count(*) as n from tumble(ev, ts, interval '1 minute') group by k, window_end) a full join (select k, window_end, count(*) as n from tumble(et, ts, interval '1 minute') group by k, window_end) b using (k, window_end)

-- What goes in the order of time passes it on.
create materialized view m as select window_start, sum(n) from tumble((select ts, sum(v) over (partition by k order by ts rows 3 preceding) as n from ev), ts, interval '1 minute') group by window_start
create materialized view m as select window_start, sum(n) from tumble((select ts, lead(v) over (partition by k order by ts) as n from ev), ts, interval '1 minute') group by window_start
create materialized view m as select window_start, count(*) from tumble((select * from (select *, row_number() over (partition by k order by ts) as rn from ev) where rn = 1), ts, interval '1 minute') group by window_start
create materialized view m as select window_start, count(*) from tumble((select * from (select *, row_number() over (partition by k order by ts desc) as rn from ev) where rn = 1), ts, interval '1 minute') group by window_start

-- Windows over the windows of views.
create materialized view m as select window_start, sum(n) from tumble(minutes, window_time, interval '5 minutes') group by window_start, window_end
create materialized view m as select m.window_start, sum(n) from minutes m group by m.window_start
create materialized view m as select w, sum(n) from tumble((select window_end as w, n from minutes), w, interval '5 minutes') group by w, window_end
create materialized view m as select window_end, sum(n) from tumble((select window_start as s, n from starts), s, interval '5 minutes') group by window_end
create materialized view m as select window_end, sum(n) from tumble((select window_start as s, n from minutes), s, interval '5 minutes') group by window_end
create materialized view m as select window_start, sum(n) from tumble((select window_time as t, count(*) as n from tumble(ev, ts, interval '1 minute') group by window_time), t, interval '5 minutes') group by window_start

-- Processing time.
create materialized view m as select window_start, count(*) from tumble(ev, proctime(), interval '1 minute') group by window_start
create materialized view m as select window_start, count(*) from tumble(ev, p, interval '1 minute') group by window_start
create materialized view m as select window_start, count(*) from hop(raw, p, interval '10 seconds', interval '1 minute') group by window_start
create materialized view m as select k, window_end, count(*) from session(et partition by k, proctime(), interval '1 minute') group by k, window_end
create materialized view m as select window_end, count(*) from tumble((select k, proctime() as now from raw), now, interval '1 minute') group by window_end
create materialized view m as select window_end, sum(n) from tumble((select window_end as e, n from clocked), e, interval '5 minutes') group by window_end
create source s (a int, p as proctime()) with (connector = 'kafka')
create table s (a int, p timestamptz generated always as (proctime()) stored)

-- EMIT.
create materialized view m as select k, window_start, window_end, count(*) from tumble(ev, ts, interval '1 minute') group by k, window_start, window_end having count(*) > 1 emit on window close
create materialized view m as select k, count(*) from hop(ev, ts, interval '1 second', interval '1 hour') group by k, window_start emit on window close
create materialized view m as select window_end, count(*) from tumble(minutes, window_time, interval '5 minutes') group by window_end emit on window close
create materialized view m as select k, v from (select *, row_number() over (partition by window_start, k order by ts desc) as rn from tumble(ev, ts, interval '1 minute')) where rn = 1 emit on window close
create materialized view m as select k, random() as r, count(*) from session(ev partition by k, ts, interval '5 minutes') group by k, window_end emit on window close
create materialized view m as select * from ev emit on window close
create materialized view m as select id, ts from et where v > 1 emit on window close
create materialized view m as select k, window_end, max(v) from tumble(ev, ts, interval '1 minute') group by k, window_end union all select k, window_end, 0 from tumble(ev, ts, interval '1 minute') group by k, window_end emit on window close
create materialized view m as select k, max(v) from tumble(ev, ts, interval '1 minute') group by k, window_end union all select k, count(*) from tumble(ev, ts, interval '5 minutes') group by k, window_end emit on window close
create materialized view m as select k, max(v) as v from tumble(ev, ts, interval '1 minute') group by k, window_end union all select k, v from (select *, row_number() over (partition by window_end order by v) as rn from tumble(ev, ts, interval '5 minutes')) where rn = 1 emit on window close
create materialized view m as select k, max(v) as v from tumble(ev, ts, interval '1 minute') group by k, window_end union all select k, v from raw emit on window close
create materialized view m as select window_start, count(*) from tumble(raw, proctime(), interval '1 minute') group by window_start emit on window close
create materialized view m as select k, count(*) from ev group by k emit every interval '5 seconds'
create materialized view m as select k, ts from ev emit every '5 seconds'
select k, window_start, count(*) from tumble(ev, ts, interval '1 minute') group by k, window_start emit on window close

-- What is wrong with it.
create materialized view m as select k, count(*) from ev group by k emit on window close
create materialized view m as select k, count(*) from raw group by k emit on window close
create materialized view m as select x, count(*) from w group by x emit on window close
create materialized view m as select window_start, count(*) from tumble(t, ts, interval '1 minute') group by window_start emit on window close
create materialized view m as select window_start, count(*) from tumble((select ts + interval '1 hour' as u from ev), u, interval '1 minute') group by window_start emit on window close
create materialized view m as select 1 emit on window close
create materialized view m as select k, n from starts where n > 1 emit on window close
create materialized view m as select k, ts, lag(ts) over (partition by k order by ts) as p from et emit on window close;
create materialized view m as select n from (select count(*) as n from ev emit on window close)
create materialized view m as select k from ev emit every '0 seconds'
create materialized view m as select k from ev emit every '1 month'
create materialized view m as select k from ev emit every interval '1 second' * k
select * from tumble(ev partition by k, ts, interval '1 minute')
select * from session(ev partition by k + 1, ts, interval '1 minute')
select * from session(ev partition by nope, ts, interval '1 minute')
select * from session(ev partition by k, ts)
select * from session(ev partition by k, ts, interval '1 minute', interval '1 minute')
select * from session(ev partition by k, v, interval '1 minute')
select * from session(ev partition by k, ts, interval '-1 minute')
select * from table(session(data => table ev, timecol => descriptor(ts), size => interval '1' minute))
select * from tumble(ev, now(), interval '1 minute')
select * from tumble(ev, descriptor(ts), interval '1 month')
select * from table(cumulate(table ev, descriptor(ts), interval '3' minutes, interval '10' minutes))
