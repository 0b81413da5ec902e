create materialized view m as select auction, price from bid where price > 10
create materialized view m as select window_start, count(*) from tumble(bid, date_time, interval '10 seconds') group by window_start
create materialized view m as select auction, count(*) as n, window_start, window_end from table(hop(table bid, descriptor(date_time), interval '2' second, interval '10' second)) group by auction, window_start, window_end
create materialized view m as select b.auction, a.category from bid b join auction a on b.auction = a.id
create materialized view m as select a, b from t order by b limit 5
create materialized view m as select a, b from t order by b
create materialized view m as select a, now() from t
create materialized view m as select a, random() from t
create materialized view m as select auction, random() as r from bid
create materialized view m (x, y) as select b, count(*) from t group by b
create materialized view m as select a, a from t
create materialized view m as select a as x, a as y from t
create materialized view m as select $1 as x
create materialized view m as select * from (select *, row_number() over (partition by auction order by price desc) as rn from bid) s where rn <= 3
create materialized view m as select w.window_end, w.auction, t.c from tumble(bid, date_time, interval '1 minute') w join t on t.a = w.auction
create materialized view m as select p.window_start, p.window_end, p.seller from tumble(auction, date_time, interval '10 s') p join tumble(bid, date_time, interval '10 s') b on p.seller = b.bidder and p.window_start = b.window_start and p.window_end = b.window_end
create materialized view m as select auction, last_value(price order by date_time) as p from bid group by auction
create materialized view m as select * from tumble((select * from bid where price > 1), date_time, interval '1 minute')
create materialized view m as select * from tumble(bid, price, interval '1 minute')
create materialized view m as select * from tumble(bid, date_time, interval '1 month')
create materialized view m as select * from session(bid, date_time, interval '10' second)
create materialized view m as select * from pg_class
create materialized view m as select distinct bidder from bid
create materialized view m as select bidder, price from bid union all select seller, 0 from auction
create materialized view m as select b.price, c.name from bid b join cat c on c.id = b.auction
create materialized view m as select b.price, c.name from bid b join cat c on c.name = b.channel
create materialized view m as select price from bid where not exists (select 1 from cat where name = channel)
create materialized view m as select c.name, b.price from cat c right join bid b on c.id = b.auction
create materialized view m as select b.price, w.z from bid b join t w2 on true join w on w.x = b.auction
create materialized view m as select ab.auction, ab.num from (select auction, count(*) as num, window_start, window_end from hop(bid, date_time, interval '2 s', interval '10 s') group by auction, window_start, window_end) ab
  join (select max(num) as maxn, window_start, window_end from (select count(*) as num, window_start, window_end from hop(bid, date_time, interval '2 s', interval '10 s') group by auction, window_start, window_end) c group by window_start, window_end) mb
  on ab.window_start = mb.window_start and ab.window_end = mb.window_end and ab.num >= mb.maxn
create materialized view m as with x as (select b, count(*) as n from t group by b) select l.b, r.n from x l join x r on l.b = r.n
create materialized view m as select l.a, r.a as c from t l join t r on l.b = r.b
