// Port: preloaded before a program, it redirects connections to port 5672 to REDIRECT_PORT.
// For machines where port 5672 is taken; the program itself stays as it is.
import net from "node:net";

const connect = net.connect;
net.connect = (options, ...rest) => connect({ ...options, port: Number(process.env.REDIRECT_PORT) }, ...rest);
