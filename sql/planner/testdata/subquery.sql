select a from t where exists (select 1 from u where u.a = t.a and u.b > 3)
select a from t where not exists (select 1 from u where u.a = t.a)
select a from t where a in (select a from u)
select a from t where b not in (select b from u)
select a from t where a not in (select a from u)
select a, b in (select b from u) from t
select a, (select max(k) from u) from t
select a, (select max(k) from u where u.a = t.a) from t
select a, (select count(*) from u where u.a = t.a) + 1 as n from t
select a, (select k from u where u.a = t.a) from t
select a from t where b > (select avg(b) from u where u.a = t.a)
select a from t where (select count(*) from u where u.a < t.a) > 2
select count(*) from t where b > (select avg(x.b) from t x)
select a, (select u.b from u where u.a = t.a order by u.k desc limit 1) from t
select a, array(select k from u where u.a = t.a order by k) from t
select a from t where b > all (select b from u where u.k = t.a)
select a from t where b = any (select b from u)
select a from t where (a, b) in (select a, b from u)
select a from t where (a, b) not in (select a, b from u)
select case when a > 1 then (select min(b) from u) else (select max(b) from u where u.a = t.a) end from t
select a from t where exists (select 1 from u where u.a = t.a and exists (select 1 from w where w.x = u.b and w.y = t.b))
select b, (select count(*) from u where u.b = t.b) from t group by b
select b, (select count(*) from u where u.b = t.a) from t group by b
select b from t group by b having count(*) > (select count(*) from u where u.b = t.b)
select t.a, s.k from t, lateral (select k from u where u.a = t.a order by k limit 2) s
select t.a, s.n from t left join lateral (select count(*) as n from u where u.a = t.a) s on true
select t.a, s.k from t left join lateral (select k from u where u.a < t.a) s on true
select (select 1, 2)
select a from t where a in (select a, b from u)
select (select sum(x.a + t.a) from t x where x.b = t.b) from t
select a, (select (select max(y) from w where w.x = u.b and w.z = t.c) from u where u.a = t.a) from t
select a from t where (select b from u where u.a = t.a union all select y from w where w.x = t.a) > 3
select a, (values (t.b)) from t
select a from t where 3 in (select b from u where u.a = t.a) or b = 2
select t.a from t join u on exists (select 1 from w where w.x = u.a) and t.a = u.a
