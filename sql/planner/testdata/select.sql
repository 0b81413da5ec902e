select 1
select 1, 'x', null, 1.5, true, interval '5' minute, date '2024-01-01'
select * from t
select a, b + 1, c from t where b > 5 and c like 'x%'
select t.*, u.k from t, u where t.a = u.a
select x.a from t as x where nope = 1
select t.a from t as x
select a from t, u
select count(*), sum(b), avg(d), min(c) from t
select b, count(*) from t group by b having count(*) > 1 order by 2 desc, b
select b + 1, count(*) from t group by b + 1
select b, c, count(*) from t group by b
select t.c, count(*) from t join u on t.a = u.a group by t.a
select a from t order by b desc limit 10 offset 2
select distinct b, c from t order by c
select distinct on (b) b, c from t order by b, a desc
select * from t join u using (a)
select * from t natural join u
select * from t left join u on t.a = u.a where u.b > 3
select * from t left join u on t.a = u.a and t.b > 1 and u.b < 2 where t.c = 'x'
select * from t full join u using (a)
select t.a, u.k from t right join u on t.a = u.k
select t.a from t, u, w where w.x = u.b and t.a = u.a and w.y > t.b and t.b = 5
select a from t where a = 5
select a from t where a = $1 and b > $2
select $1::int, a + $2, $3 from t
select a from t union select b from u union select 3
select a from t union all select null
select a from t except select b from u
select a from t intersect all select b from u
select * from (values (1, 'a'), (2, null)) as v(id, name)
with x as (select a, b from t where b > 1), y(n) as (select a from x) select * from y join x on n = x.a
select * from v where a = 3
select a, case when b > 1 then 'x' else c end from t
select a, coalesce(b, 0), nullif(b, 1), greatest(a, b) from t
select a from t where b in (1, 2, 3) and c not in ('x', 'y')
select a from t where b = any(array[1, 2]) and c = any('{a,b}')
select a from t where b between 1 and 2 or not b between symmetric 5 and 3
select count(*) filter (where b > 1), count(distinct b), string_agg(c, ',' order by a desc) from t
select * from generate_series(1, 10) as g(i)
select id, x from arr, unnest(arr.xs) as u(x) where x > 3
select id, x, n from arr, unnest(xs) with ordinality as u(x, n)
select a, row_number() over (partition by b order by c desc) from t
select * from (select a, b, row_number() over (partition by b order by c desc) rn from t) s where rn <= 3
select * from (select a, b, rank() over (partition by b order by c desc) r from t) s where r < 3
select * from (select a, b, row_number() over (partition by b order by c desc) rn from t) s where rn = 1
select sum(b) over (partition by c order by a rows between 2 preceding and current row), lag(a) over w from t window w as (partition by c order by a)
select b, sum(count(*)) over (order by b) from t group by b
select b, c, count(*) from t group by rollup (b, c)
select a from t where (a, b) = (1, 2) and (a, b) < (3, 4)
select max(sum(a)) from t
select a from t where sum(a) > 1
select a from t group by 2
select a from t order by 2
select a from nope
select a + c from t
select a from t where c
select f(a) from t
select a.b from t
select extract(hour from ts), ts at time zone 'UTC', date_trunc('day', ts) from t
select xs[1], xs[1:2] from arr
select 1 where false
select a from t where false or 1 = 0
select count(*) from t where 1 = 0
select a, a as x, b as a from t order by a
select t1.a from t t1 join t t2 on t1.b = t2.b join t t3 on t2.a = t3.a where t3.c = 'q'
select a from t where b is distinct from 3 and c is not distinct from null and (b > 1) is not true
select * from t tablesample system (1)
select a from t limit 1 + 1
(select a from t order by b limit 1) union all (select b from u) order by 1 limit 3
select sum(x) from (select a as x from t union all select b from u) s where x > 5
select generate_series(1, 3), 'x'
select id, unnest(xs) + 1 as x from arr where id > 1 order by x
select b, generate_series(1, count(*)::int) from t group by b
select a from t where generate_series(1, 2) = 1
select a from t where (a, b) = (select a, b from u)
with x as (select nope from t) select 1
select b, a, count(*) from (select distinct a, b from u) s group by b, a
select b, c, grouping(b, c) as g, count(*) from t group by cube (b, c) having grouping(b) = 0 order by 3
select grouping(a) from t group by b
select b, grouping(b) from t group by b
select b, count(*) from t group by grouping sets ((b), ()) order by b
