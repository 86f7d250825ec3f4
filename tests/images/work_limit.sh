#!/usr/bin/env bash
# An image that is too much work to decode is refused by its header, at once: SQLSTATE 54000, with coopembed.max_image_work in the HINT. Only a
# superuser raises the limit.
source "$(dirname "$0")/../tools/images_fixture.sh"
images_cluster
worst=0
for name in $expensive; do
  since=$(milliseconds)
  expect_error "$name is refused" 'ERROR:  54000: the .* image takes too much work to decode' -v VERBOSITY=verbose -c "SET coopembed.max_image_work = 10" -c "$(embed "$name")"
  took "refusing $name" "$since"
  expect_in "$name: the DETAIL has work and limit" 'DETAIL:  Decoding its [0-9x]* pixels is the work of [0-9]* megapixels, and the limit is 10\.' "$SCRATCH/error"
  expect_in "$name: the HINT names the setting" 'HINT:  .*raise "coopembed.max_image_work"' "$SCRATCH/error"
done
echo "the slowest refusal took $worst ms"
expect_error 'a large JPEG with a hundred scans is refused by default' 'too much work to decode' -c "$(embed scans.jpg)"
expect_error 'only a superuser raises the limit' 'permission denied to set parameter "coopembed.max_image_work"' \
  -c "CREATE ROLE clerk" -c "LOAD 'coopembed'" -c "SET ROLE clerk" -c "SET coopembed.max_image_work = 100000"
finish
