# A generated project in C, by four compilers at a time.
mkdir -p src include
for ((i = 0; i < 10 * SCALE; i++)); do
    echo "int f$i(int);" >"include/f$i.h"
    printf '#include "f%s.h"\nint f%s(int x)\n{\n\treturn x * %s + 1;\n}\n' "$i" "$i" "$i" >"src/f$i.c"
done
{ cat include/*.h; printf '#include <stdio.h>\nint main(void)\n{\n\tlong s = 0;\n'; printf '\ts += f%s(3);\n' $(seq 0 $((10 * SCALE - 1)))
  printf '\tprintf("%%ld\\n", s);\n\treturn 0;\n}\n'; } >src/main.c
cat >Makefile <<'END'
SOURCES := $(filter-out src/main.c,$(wildcard src/*.c))
OBJECTS := $(SOURCES:src/%.c=build/%.o)
program: build/main.o build/libf.a
	gcc -o $@ $^
build/libf.a: $(sort $(OBJECTS))
	rm -f $@.new; ar rcsD $@.new $^ && mv $@.new $@
build/%.o: src/%.c | build
	gcc -O1 -Iinclude -MMD -MP -c -o $@ $<
build:
	mkdir $@
clean:
	rm -rf build program
-include $(wildcard build/*.d)
.PHONY: clean
END
make -s -j4; echo "status $?"; ./program; make -j4
sleep 0.05; touch include/f3.h; make -s -j4 -n | grep -c -- '-c -o'; make -s -j4; ./program
make -s clean; make -s -j4 program; ls build | wc -l
echo wrong >src/f0.c; make -s -j4 >/dev/null 2>&1; echo "status $?"; ls -1 build | wc -l
