select * from t where a = any($1) and c = $2 and d > $3 and ts < $4
select a from t limit $1 offset $2
select $1
select $1 union select 1
values ($1, 2), ('x', $2)
select case when $1 then a else $2 end, coalesce($3, a), nullif(a, $4), greatest($5, b) from t
select a from t where a between $1 and $2 and b in ($3, $4) and c like $5
select array[$1, 2], $2 = $3, $4 is null, not $5
select $1 + $2
select ts + $1, date_trunc($2, ts), ts > now() - $3 from t
insert into t values ($1, $2, $3, $4, $5)
insert into t (a, b) select $1, $2
insert into t (a, b) values ($1, $2) on conflict (a) do update set b = t.b + $3 where t.c = $4
update t set b = $1, c = $2 where a = $3 returning b + $4
delete from t where a = $1
select a from t where a in (select a from u where b = $1) and exists (select 1 from w where x = $2)
select sum(b + $1) filter (where c = $2) from t group by b having count(*) > $3
select $1::text, $1
select $2::int
select a from t where a = $1 or c = $1
select 1 from t order by $1
select * from generate_series(1, $1)
select string_agg(c, $1) from t
select $0
select a from t where $1
select (select $1::int) + 1
select lag(a, $1) over (order by b) from t
select pg_catalog.format_type($1, $2), $3::regclass
