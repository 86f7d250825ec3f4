-- Text and binary forms round-trip; the error for a malformed one says what is wrong.
SELECT '2x2@0000002a:[0.6,0.8,1,0]'::coopvec;
SELECT '2x2@0000002a:{0;1:2*[0.6,0.8]}'::coopquery;
SELECT coopvec_send('2x2@0000002a:[0.5,1,0,-2]');
SELECT '\x01000200020000002a38003c000000c000'::coopvec;
SET coopembed.output = hex;
SELECT '2x2@0000002a:[0.5,1,0,-2]'::coopvec, '2x2@0000002a:{0.25;1:2*[0.5,1]}'::coopquery;
RESET coopembed.output;
SELECT '\x01000200020000002a38003c000000c00'::coopvec;
SELECT '\x01000200020000002a38003c000000c0'::coopvec;
SET coopembed.output = base64;
SELECT '2x2@0000002a:[1,2,3]'::coopvec;
SELECT '[1,2,3,4]'::coopvec;
SELECT '2x2@0000002a:[1,2,3,NaN]'::coopvec;
SELECT '2x2@0000002a:{0}'::coopquery;
SELECT '2x2@0000002a:{0;2:1*[1,1]}'::coopquery;

-- Distances, computed by hand: sqrt(0.25 + 1 + 0 + 9), and sqrt(0.25 + 2 * (0.25 + 9)).
SELECT '2x2@0000002a:[0.5,1,0,-2]'::coopvec <-> '2x2@0000002a:[0,0,0,1]'::coopvec AS d, sqrt(10.25);
SELECT '2x2@0000002a:[0.5,1,0,-2]'::coopvec <-> '2x2@0000002a:{0.25;1:2*[0.5,1]}'::coopquery AS d, sqrt(18.75);
SELECT '2x2@0000002a:[0.5,1,0,-2]'::coopvec <-> NULL::coopquery AS d;

-- Embeddings of different models cannot be combined.
SELECT '1x1@00000001:[1]'::coopvec <-> '1x1@00000002:[1]'::coopvec;
SELECT '1x1@00000001:[1]'::coopvec <-> '1x2@00000001:{0;0:1*[1,1]}'::coopquery;
SELECT avg(e) FROM (VALUES ('1x1@00000001:[1]'::coopvec), ('1x1@00000002:[1]')) t(e);

-- Queries add and scale: 1*(0-e)^2 + 3*(1-e)^2 = 4*(0.75-e)^2 + 0.75.
SELECT '1x1@00000000:{0;0:1*[0]}'::coopquery + 3 * '1x1@00000000:{0;0:1*[1]}'::coopquery AS mix;
SELECT 0 * '1x1@00000000:{0;0:1*[0]}'::coopquery;
SELECT -1 * '1x1@00000000:{0;0:1*[0]}'::coopquery;

-- Means and equality.
SELECT avg(e) FROM (VALUES ('1x2@00000000:[1,0]'::coopvec), ('1x2@00000000:[0,1]'), (NULL)) t(e);
SELECT avg(e) FROM (SELECT NULL::coopvec AS e) t;
SELECT count(DISTINCT e::text), count(*) FILTER (WHERE e = '1x2@00000000:[1,0]')
FROM (VALUES ('1x2@00000000:[1,0]'::coopvec), ('1x2@00000000:[1.0,0]'), ('1x2@00000000:[0,1]')) t(e);
SELECT '1x2@00000000:[0.5,1]'::coopvec::real[];
