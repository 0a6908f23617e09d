import asyncio
from benchmarks import endurance as e
if __name__=="__main__":
    for row in e.slow_rows(80,10,10, asyncio.run(e.slow(80, 10, 10, 3000, 100))): print(row)
