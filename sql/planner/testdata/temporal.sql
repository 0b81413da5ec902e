-- Conditions with the clock: where they end up.
create materialized view m as select id, v from et where ts > now() - interval '1 hour' and v > 10
create materialized view m as select o.id from et o join et p on o.id = p.id where o.ts > now() - interval '1 hour' and p.ts <= now() and o.ts + interval '1 day' > p.ts
create materialized view m as select o.id from et o join et p on o.id = p.id where greatest(o.ts, p.ts) > now() - interval '1 hour'
create materialized view m as select ts::date, count(*) from et group by 1 having ts::date >= current_date - 7
create materialized view m as select id from et where now() > ts + interval '1 hour'
create materialized view m as select * from (select id, ts from et union all select id, ts as ts from et) where ts > now() - interval '1 month'
create materialized view m as select o.id from et o left join et p on o.id = p.id and p.ts > now() - interval '1 hour'
create materialized view m as select o.id from et o left join et p on o.id = p.id and p.ts > o.ts and o.ts > now()
create materialized view m as select id from et where date_part('hour', now()) = 3
create materialized view m as select id, localtimestamp from et
create materialized view m as select id from et where ts > now() - random() * interval '1 hour'
select id from et where ts > now() - interval '1 hour'
create materialized view m as select o.id from et o join et p on o.k = p.k and p.ts between o.ts and o.ts + interval '5 minutes' where o.ts > now() - interval '1 hour'
create materialized view m as select o.id, p.id as other from et o left join et p on o.k = p.k and p.ts between o.ts and o.ts + interval '5 minutes' where o.ts > now() - interval '1 hour'
